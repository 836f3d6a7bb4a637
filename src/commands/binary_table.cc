#include "src/commands/binary_table.h"

#include <array>

namespace terraced::server {
namespace {

constexpr uint32_t kFetches = kReads | kBinary | kAnswersValue;
constexpr uint32_t kTouches = kWrites | kBinary | kAnswersValue;
constexpr uint32_t kChanges = kWrites | kBinary;
constexpr uint32_t kTakesBlock = kWrites | kStores | kBinary;
constexpr uint32_t kAsks = kReads | kBinary;
constexpr uint32_t kProves = kReads | kBinary | kLogsIn;

constexpr uint8_t kKeyAndValue = kNeedsKey | kMayHaveValue;
constexpr uint8_t kCredentials = kNeedsKey | kMayHaveValue | kNeedsWholeBody;

// Client flags and exptime; delta, initial number and exptime; exptime; level.
constexpr uint8_t kStoreExtras = 8;
constexpr uint8_t kCountExtras = 20;
constexpr uint8_t kTouchExtras = 4;
constexpr uint8_t kLevelExtras = 4;

constexpr uint32_t kQuiet = kAsksQuiet;
constexpr uint32_t kQuietKey = kAsksQuiet | kAsksKey;

// Credentials that are too long come here too; with SASL their opcode is known.
Step SayUnknown(const CommandContext& context, const Request& request, tiering::Evidence*,
                ReplySink& sink) {
  if (context.options.sasl && request.error == Reply::kLoginFailed) return Step::kLogIn;
  sink.Answer(request, Reply::kUnknownCommand);
  return Step::kDone;
}

Step RefuseAndClose(const CommandContext&, const Request& request, tiering::Evidence*,
                    ReplySink& sink) {
  sink.Answer(request, request.error);
  return Step::kClose;
}

constexpr CommandSpec Row(std::string_view word, Verb verb, uint32_t flags, Handler handler) {
  return {word, verb, 0, 0, flags, handler};
}

constexpr std::array<BinarySpec, kBinaryOpcodes> kOpcodes = {{
    /* 00 */ {Row("GET", Verb::kGet, kFetches, &HandleGet), 0, kNeedsKey},
    /* 01 */ {Row("SET", Verb::kSet, kTakesBlock, &HandleStore), kStoreExtras, kKeyAndValue},
    /* 02 */ {Row("ADD", Verb::kAdd, kTakesBlock, &HandleStore), kStoreExtras, kKeyAndValue},
    /* 03 */
    {Row("REPLACE", Verb::kReplace, kTakesBlock, &HandleStore), kStoreExtras, kKeyAndValue},
    /* 04 */ {Row("DELETE", Verb::kDelete, kChanges, &HandleDelete), 0, kNeedsKey},
    /* 05 */ {Row("INCREMENT", Verb::kIncr, kChanges, &HandleArithmetic), kCountExtras, kNeedsKey},
    /* 06 */ {Row("DECREMENT", Verb::kDecr, kChanges, &HandleArithmetic), kCountExtras, kNeedsKey},
    /* 07 */ {Row("QUIT", Verb::kQuit, kAsks, &HandleQuit)},
    /* 08 */
    {Row("FLUSH", Verb::kFlushAll, kChanges, &HandleFlushAll), kTouchExtras, kMayLackExtras},
    /* 09 */ {Row("GETQ", Verb::kGet, kFetches, &HandleGet), 0, kNeedsKey, kQuiet},
    /* 0a */ {Row("NOOP", Verb::kMetaNoop, kAsks, &HandleMetaNoop)},
    /* 0b */ {Row("VERSION", Verb::kVersion, kAsks, &HandleVersion)},
    /* 0c */ {Row("GETK", Verb::kGet, kFetches, &HandleGet), 0, kNeedsKey, kAsksKey},
    /* 0d */ {Row("GETKQ", Verb::kGet, kFetches, &HandleGet), 0, kNeedsKey, kQuietKey},
    /* 0e */ {Row("APPEND", Verb::kAppend, kTakesBlock, &HandleStore), 0, kKeyAndValue},
    /* 0f */ {Row("PREPEND", Verb::kPrepend, kTakesBlock, &HandleStore), 0, kKeyAndValue},
    /* 10 */ {Row("STAT", Verb::kStats, kAsks, &HandleStats), 0, kMayHaveKey},
    /* 11 */
    {Row("SETQ", Verb::kSet, kTakesBlock, &HandleStore), kStoreExtras, kKeyAndValue, kQuiet},
    /* 12 */
    {Row("ADDQ", Verb::kAdd, kTakesBlock, &HandleStore), kStoreExtras, kKeyAndValue, kQuiet},
    /* 13 */
    {Row("REPLACEQ", Verb::kReplace, kTakesBlock, &HandleStore), kStoreExtras, kKeyAndValue,
     kQuiet},
    /* 14 */ {Row("DELETEQ", Verb::kDelete, kChanges, &HandleDelete), 0, kNeedsKey, kQuiet},
    /* 15 */
    {Row("INCREMENTQ", Verb::kIncr, kChanges, &HandleArithmetic), kCountExtras, kNeedsKey, kQuiet},
    /* 16 */
    {Row("DECREMENTQ", Verb::kDecr, kChanges, &HandleArithmetic), kCountExtras, kNeedsKey, kQuiet},
    /* 17 */ {Row("QUITQ", Verb::kQuit, kAsks, &HandleQuit), 0, 0, kQuiet},
    /* 18 */
    {Row("FLUSHQ", Verb::kFlushAll, kChanges, &HandleFlushAll), kTouchExtras, kMayLackExtras,
     kQuiet},
    /* 19 */ {Row("APPENDQ", Verb::kAppend, kTakesBlock, &HandleStore), 0, kKeyAndValue, kQuiet},
    /* 1a */ {Row("PREPENDQ", Verb::kPrepend, kTakesBlock, &HandleStore), 0, kKeyAndValue, kQuiet},
    /* 1b */ {Row("VERBOSITY", Verb::kVerbosity, kAsks, &HandleVerbosity), kLevelExtras},
    /* 1c */ {Row("TOUCH", Verb::kTouch, kChanges, &HandleTouch), kTouchExtras, kNeedsKey},
    /* 1d */ {Row("GAT", Verb::kGat, kTouches, &HandleGetAndTouch), kTouchExtras, kNeedsKey},
    /* 1e */
    {Row("GATQ", Verb::kGat, kTouches, &HandleGetAndTouch), kTouchExtras, kNeedsKey, kQuiet},
    /* 1f */ {},
    /* 20 */ {Row("SASL_LIST_MECHS", Verb::kSaslList, kProves, &HandleSasl)},
    /* 21 */ {Row("SASL_AUTH", Verb::kSaslAuth, kProves, &HandleSasl), 0, kCredentials},
    /* 22 */ {Row("SASL_STEP", Verb::kSaslStep, kProves, &HandleSasl), 0, kCredentials},
    /* 23 */
    {Row("GATK", Verb::kGat, kTouches, &HandleGetAndTouch), kTouchExtras, kNeedsKey, kAsksKey},
    /* 24 */
    {Row("GATKQ", Verb::kGat, kTouches, &HandleGetAndTouch), kTouchExtras, kNeedsKey, kQuietKey},
}};

constexpr CommandSpec kUnknown = Row("", Verb::kRefused, kAsks | kSwallows, &SayUnknown);
constexpr CommandSpec kBroken = Row("", Verb::kRefused, kAsks, &RefuseAndClose);

}  // namespace

const BinarySpec* FindBinaryCommand(uint8_t opcode) {
  if (opcode >= kOpcodes.size() || kOpcodes[opcode].command.handler == nullptr) return nullptr;
  return &kOpcodes[opcode];
}

const CommandSpec& UnknownOpcode() {
  return kUnknown;
}

const CommandSpec& BrokenFrame() {
  return kBroken;
}

}  // namespace terraced::server
