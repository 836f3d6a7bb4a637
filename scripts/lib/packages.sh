# Sourced: the packages of Debian 12 that terraced needs, and which of them are missing here.
# shellcheck shell=bash disable=SC2034

# What scripts/build and scripts/run need.
BUILD_PACKAGES=(
  g++ cmake ninja-build pkg-config
  librocksdb-dev  # the flash tier's files
  libevent-dev    # the workers' event loops
  liblz4-dev      # compression of values on flash
  libssl-dev      # TLS
  libsasl2-dev    # logging in with -S
  libgtest-dev libgmock-dev
)

# What scripts/test and scripts/check need beside those.
TEST_PACKAGES=(
  memcached                       # the reference server; installed without being started
  libsasl2-modules libsasl2-modules-db sasl2-bin  # mechanisms, and saslpasswd2 with its database, for logins
  clang clang-tidy clang-format   # thread-safety analysis, lint, format
  libclang-rt-14-dev              # libFuzzer and clang's sanitizers; clang only recommends them
  python3                         # scripts/check_*.py, scripts/bench
  gnuplot-nox                     # plots of scripts/bench
  python3-pymemcache python3-pylibmc libmemcached-tools  # the clients of tests/clients that scripts/test runs
)

# What `scripts/test clients` needs beside those: the other client libraries, and what runs them.
CLIENT_PACKAGES=(
  python3-memcache
  php-cli php-memcached
  ruby ruby-dalli
  libcache-memcached-fast-perl
  golang-go golang-github-bradfitz-gomemcache-dev
  default-jdk-headless libspymemcached-java
)

# missing_packages PACKAGE...: one name a line. A package that is only half installed counts as missing.
missing_packages() {
  command -v dpkg-query >/dev/null ||
    die "there is no dpkg-query here. On a system other than Debian, install by hand what these packages hold: $*"
  local installed package
  installed=$(dpkg-query --show --showformat='${db:Status-Status} ${Package}\n' "$@" 2>/dev/null || true)
  for package in "$@"; do
    grep -qxF "installed $package" <<<"$installed" || printf '%s\n' "$package"
  done
}
