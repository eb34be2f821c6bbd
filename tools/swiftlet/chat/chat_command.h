// `swiftlet chat`: a conversation with a running server, in the terminal.
#pragma once

namespace swiftlet {

// argv[0] is "chat". The exit code: 0; 1 when an answer failed and there is nobody to try again (input is no terminal);
// 64 for wrong usage; 69 when the server is not there, 77 when it refuses the key.
int ChatCommand(int argc, char** argv);

}  // namespace swiftlet
