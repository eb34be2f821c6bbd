// Starts the children of a plan, says when all are ready, and stops them in order: the last of the plan first, so that
// the gateway ends its requests while tokenizer and worker still serve them.
#pragma once

#include "services/common/stop_signal.h"
#include "tools/swiftlet/serve/serve_plan.h"

namespace swiftlet {

// Blocks until all children are gone; on the thread that lives longest (see child_process.h). The exit status: 0 after
// a signal and a clean stop, else that of the child that ended first, or 70. Prints the banner to stdout when every
// /readyz answers 200, all else to stderr.
int Supervise(const ServePlan& plan, StopSignal& stop);

}  // namespace swiftlet
