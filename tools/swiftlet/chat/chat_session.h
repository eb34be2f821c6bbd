// The loop of `swiftlet chat`: reads lines, does what /commands say, asks the server the rest. Owned by the command;
// one thread.
#pragma once

#include <string>
#include <string_view>

#include "tools/swiftlet/chat/answer_printer.h"
#include "tools/swiftlet/chat/conversation.h"
#include "tools/swiftlet/chat/interrupts.h"
#include "tools/swiftlet/chat/line_reader.h"
#include "tools/swiftlet/client/http_client.h"

namespace swiftlet {

class ChatSession {
 public:
  // `interrupts`: of the person who types and can try again; null: nobody does. All outlive the session.
  ChatSession(HttpClient& client, Conversation& conversation, LineReader& lines, Interrupts* interrupts,
              AnswerStyle style);

  // Until the end of the input. The exit code.
  int Run();

 private:
  // False: the session is over.
  bool Command(std::string_view line);
  // False: there is no answer.
  bool Ask(std::string question);
  void Note(std::string_view text) const;  // a dimmed line on stderr

  HttpClient& client_;
  Conversation& conversation_;
  LineReader& lines_;
  Interrupts* const interrupts_;
  const AnswerStyle style_;
};

}  // namespace swiftlet
