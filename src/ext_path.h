// ExtPath: memcached's ext_path, FILE:SIZE[:BUCKET] once or more, as a flash tier: the first path, all sizes together.
// Threads: plain functions of the parser.
// Errors: a Status that quotes what is no path and size.
#pragma once

#include <string>
#include <vector>

#include "src/options.h"
#include "storage/base/status.h"

namespace terraced::server {

// What follows for flash_path and flash_size from all of accepted.ext_path.
Status FollowExtPaths(Options& options);
// Where memcached has a file, we need a directory: beside a file that is there. The lines that say what became of
// ext_path; none without it.
std::vector<std::string> SettleExtPaths(Options* options);

}  // namespace terraced::server
