// What of Asio and Beast need not be a header, compiled once: in each file that includes them it would take ten seconds more.
#include <boost/asio/impl/src.hpp>
#include <boost/asio/ssl/impl/src.hpp>
#include <boost/beast/src.hpp>
