// bench_trace: replays a trace against a running server and prints what came of it, one line of JSON; or prints
// the trace. The trace is generated from a parameter file (trace_config.h), or a text (trace_text.h).
// scripts/lib/bench_traces.py starts the servers and calls this.
#include <charconv>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <iostream>
#include <optional>

#include "tests/bench/trace_generator.h"
#include "tests/bench/trace_replayer.h"
#include "tests/bench/trace_server.h"
#include "tests/bench/trace_text.h"
#include "tests/support/process.h"

namespace terraced::bench {
namespace {

constexpr int kExitUsage = 64;

constexpr const char* kUsage =
    "usage: bench_trace (--conf FILE | --trace FILE) (--port PORT | --print) [OPTION...]\n"
    "  --conf FILE       generate the trace from these parameters\n"
    "  --trace FILE      read the trace from a text, - for standard input\n"
    "  --port PORT       replay it against the server on this port of 127.0.0.1\n"
    "  --print           print it as text instead\n"
    "  --pid PID         the server's process, for its CPU time and what it wrote to disk\n"
    "  --operations N    at most so many, those of the warm-up among them\n"
    "  --warmup N        of them not counted; by default what the parameters say\n"
    "  --seed N          instead of the parameters' own\n"
    "  --rate N          operations a second at most\n"
    "  --connections N   by default 8\n"
    "  --depth N         operations in a round for each connection, by default 32\n";

struct Arguments {
  std::string conf;
  std::string trace;
  bool print = false;
  std::optional<uint64_t> port;
  std::optional<uint64_t> pid;
  std::optional<uint64_t> operations;
  std::optional<uint64_t> warmup;
  std::optional<uint64_t> seed;
  std::optional<uint64_t> rate;
  std::optional<uint64_t> connections;
  std::optional<uint64_t> depth;
};

struct NumberOption {
  const char* name;
  std::optional<uint64_t> Arguments::*member;
};
constexpr NumberOption kNumberOptions[] = {
    {"--port", &Arguments::port},
    {"--pid", &Arguments::pid},
    {"--operations", &Arguments::operations},
    {"--warmup", &Arguments::warmup},
    {"--seed", &Arguments::seed},
    {"--rate", &Arguments::rate},
    {"--connections", &Arguments::connections},
    {"--depth", &Arguments::depth},
};

bool ReadNumber(const char* name, std::string_view value, Arguments* arguments) {
  for (const NumberOption& option : kNumberOptions) {
    if (std::strcmp(option.name, name) != 0) continue;
    uint64_t number = 0;
    const auto [end, error] = std::from_chars(value.data(), value.data() + value.size(), number);
    arguments->*(option.member) = number;
    return error == std::errc() && end == value.data() + value.size();
  }
  return false;
}

bool ReadArguments(int argc, char** argv, Arguments* arguments) {
  for (int i = 1; i < argc; ++i) {
    const std::string_view name = argv[i];
    if (name == "--print") {
      arguments->print = true;
      continue;
    }
    if (++i == argc) return false;
    if (name == "--conf") {
      arguments->conf = argv[i];
    } else if (name == "--trace") {
      arguments->trace = argv[i];
    } else if (!ReadNumber(argv[i - 1], argv[i], arguments)) {
      return false;
    }
  }
  return arguments->conf.empty() != arguments->trace.empty() &&
         arguments->print != arguments->port.has_value();
}

// The source of the operations, with what it reads from.
struct OpenTrace {
  std::ifstream file;
  std::unique_ptr<TraceSource> source;
};

Status Open(Arguments* arguments, OpenTrace* trace) {
  if (!arguments->conf.empty()) {
    const std::string text = support::ReadTextFile(arguments->conf);
    if (text.empty()) return Status(StatusCode::kNotFound, arguments->conf + " is not there");
    Result<TraceConfig> config = ParseTraceConfig(text);
    if (!config.ok()) return config.status().WithContext(arguments->conf);
    config.value().seed = arguments->seed.value_or(config.value().seed);
    arguments->warmup = arguments->warmup.value_or(config.value().warmup);
    trace->source = std::make_unique<TraceGenerator>(config.value());
    return Status();
  }
  if (arguments->trace == "-") {
    trace->source = std::make_unique<TraceReader>(std::cin);
    return Status();
  }
  trace->file.open(arguments->trace);
  if (!trace->file) return Status(StatusCode::kNotFound, arguments->trace + " cannot be read");
  trace->source = std::make_unique<TraceReader>(trace->file);
  return Status();
}

Status Print(TraceSource& source, uint64_t operations) {
  TraceOperation operation;
  std::string text;
  for (; operations > 0; --operations) {
    TERRACED_ASSIGN_OR_RETURN(const bool more, source.Next(&operation));
    if (!more) break;
    text.clear();
    AppendTraceLine(operation, &text);
    std::fwrite(text.data(), 1, text.size(), stdout);
  }
  return std::fflush(stdout) == 0 ? Status() : Status::FromErrno("standard output", errno);
}

Status Replay(const Arguments& arguments, TraceSource& source, uint64_t operations) {
  const int port = static_cast<int>(*arguments.port);
  const auto pid = static_cast<pid_t>(arguments.pid.value_or(0));
  ReplayShape shape;
  shape.connections = arguments.connections.value_or(shape.connections);
  shape.depth = arguments.depth.value_or(shape.depth);
  shape.rate = arguments.rate.value_or(shape.rate);
  TERRACED_ASSIGN_OR_RETURN(std::unique_ptr<support::Client> client,
                            support::Client::Connect(port));
  TERRACED_ASSIGN_OR_RETURN(std::unique_ptr<TraceReplayer> replayer,
                            TraceReplayer::Create(port, shape));
  const uint64_t warmup = std::min(arguments.warmup.value_or(0), operations);
  ReplayCounts cold;
  TERRACED_ASSIGN_OR_RETURN(const bool more, replayer->Run(source, warmup, &cold));
  if (!more) return Status(StatusCode::kInvalidArgument, "the trace ends within its warm-up");
  TERRACED_ASSIGN_OR_RETURN(const ServerSample before, TakeSample(*client, pid));
  const auto begin = std::chrono::steady_clock::now();
  ReplayCounts counts;
  TERRACED_ASSIGN_OR_RETURN([[maybe_unused]] const bool longer,
                            replayer->Run(source, operations - warmup, &counts));
  const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - begin;
  TERRACED_ASSIGN_OR_RETURN(const ServerSample after, TakeSample(*client, pid));
  std::printf("%s\n", ReplayJson(counts, Between(before, after), seconds.count()).c_str());
  // A wrong value in the warm-up is as wrong.
  return counts.wrong + cold.wrong == 0
             ? Status()
             : Status(StatusCode::kCorruption,
                      std::to_string(counts.wrong + cold.wrong) + " values of other keys");
}

int Main(int argc, char** argv) {
  Arguments arguments;
  if (!ReadArguments(argc, argv, &arguments)) {
    std::fputs(kUsage, stderr);
    return kExitUsage;
  }
  OpenTrace trace;
  Status status = Open(&arguments, &trace);
  if (status.ok()) {
    const uint64_t operations = arguments.operations.value_or(UINT64_MAX);
    status = arguments.print ? Print(*trace.source, operations)
                             : Replay(arguments, *trace.source, operations);
  }
  if (status.ok()) return 0;
  std::fprintf(stderr, "bench_trace: %s\n", std::string(status.message()).c_str());
  return 1;
}

}  // namespace
}  // namespace terraced::bench

int main(int argc, char** argv) {
  return terraced::bench::Main(argc, argv);
}
