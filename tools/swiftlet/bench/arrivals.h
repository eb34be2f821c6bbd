// When the requests of an open loop are due: a renewal process whose gaps have a gamma distribution, in bursts of a
// fixed size. A pure function of (process, seed), the same on every machine. One thread.
#pragma once

#include <cstdint>

#include <boost/random/gamma_distribution.hpp>
#include <boost/random/mersenne_twister.hpp>

namespace swiftlet::bench {

struct ArrivalProcess {
  double rate = 0;        // requests a second; 0: nobody arrives
  double burstiness = 1;  // shape of the gamma distribution: 1 = Poisson, below burstier, above more even
  int32_t burst = 1;      // requests that come together; bursts come at rate / burst
};

class Arrivals {
 public:
  // process.rate > 0.
  Arrivals(const ArrivalProcess& process, uint64_t seed);
  // Of the next request, nanoseconds after the run's begin; the first is due at 0.
  int64_t NextNs();

 private:
  const int32_t burst_;
  boost::random::mt19937_64 random_;
  boost::random::gamma_distribution<double> gap_s_;
  double at_s_ = 0;
  int32_t left_of_burst_;
};

}  // namespace swiftlet::bench
