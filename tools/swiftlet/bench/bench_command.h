// `swiftlet bench`: loads a running server over its OpenAI route and says how it did.
#pragma once

namespace swiftlet::bench {

// argv[0] is "bench". The exit code: 0, 1 when requests failed, 64 for wrong usage, 69 when the server is not there.
int BenchCommand(int argc, char** argv);

}  // namespace swiftlet::bench
