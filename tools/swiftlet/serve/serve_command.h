// `swiftlet serve`: one gateway, one tokenizer and one worker on this machine, started, watched and stopped together.
#pragma once

namespace swiftlet {

// argv[0] is "serve". The exit status: 0 after a signal and a clean stop, 78 for wrong flags, else that of the child
// that ended first, or 70.
int ServeCommand(int argc, char** argv);

}  // namespace swiftlet
