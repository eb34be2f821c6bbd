// `swiftlet inspect DIR`: what a model directory holds, and what it costs in memory.
#pragma once

namespace swiftlet {

// argv[0] is "inspect". The exit code: 0 when the directory can be served, 1 when something in it keeps it from that
// (the report names it), 64 for wrong usage, 66 when there is no such directory.
int InspectCommand(int argc, char** argv);

}  // namespace swiftlet
