// fuzz_dictionary FOLDER: writes <target>.dict there for every target that reads words.
#include <cstdio>
#include <fstream>
#include <string>

#include "tests/fuzz/dictionary.h"

namespace {

bool Write(const std::string& path, const std::string& text) {
  std::ofstream file(path, std::ios::trunc);
  file << text;
  file.close();
  if (!file) std::fprintf(stderr, "fuzz_dictionary: cannot write %s\n", path.c_str());
  return static_cast<bool>(file);
}

}  // namespace

int main(int argument_count, char** arguments) {
  if (argument_count != 2) {
    std::fputs("usage: fuzz_dictionary FOLDER\n", stderr);
    return 1;
  }
  const std::string folder = arguments[1];
  const std::string commands = terraced::fuzz::CommandDictionary();
  const std::string options = terraced::fuzz::OptionDictionary();
  bool good = true;
  for (const char* target : {"connection", "text_codec"}) {
    // Settings are changed by a command, and named in it.
    good = Write(folder + "/" + target + ".dict", commands + options) && good;
  }
  for (const char* target : {"config_file", "option_value"}) {
    good = Write(folder + "/" + target + ".dict", options) && good;
  }
  return good ? 0 : 1;
}
