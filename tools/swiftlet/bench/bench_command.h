// `swiftlet bench`: loads a running server over HTTP or gRPC and says how it did.
#pragma once

namespace swiftlet::bench {

// argv[0] is "bench". The exit code: 0, 1 when requests failed, 64 for wrong usage, 69 when the server is not there, 73
// when a report cannot be written.
int BenchCommand(int argc, char** argv);

}  // namespace swiftlet::bench
