// The page that --playground serves at "/": index.html beside this file, embedded when built. It loads nothing and may
// call nobody but the gateway that it came from; its headers hold browsers to that. Pure; made once, while the routes
// are.
#pragma once

#include "services/gateway/http/http_exchange.h"

namespace swiftlet {

HttpResponse PlaygroundPage();

}  // namespace swiftlet
