// Boost.JSON compiled once, here, so that no other file pays for it and no extra library is needed at run time.
#include <boost/json/src.hpp>
