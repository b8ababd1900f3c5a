#!/bin/sh
# What 'make setup' needs before it can make .venv: a Python, a Java, and a checkout with symlinks.
# Says what to install; as root on Debian it installs Java itself.
set -eu
python=${1-}

fail() {
    printf 'neardup: %s\n' "$1" >&2
    exit 1
}

[ -L src/neardup/schemas ] || fail "src/neardup/schemas is not a symbolic link. This checkout was \
made without symlinks: run 'git config core.symlinks true' and then 'git checkout -f .' \
(on Windows use WSL)."

[ -n "$python" ] || fail "There is no Python 3.11 to 3.13 on PATH. Install one ('apt-get install \
python3 python3-venv' on Debian 12, 'dnf install python3.11' on Fedora, 'brew install python@3.11' \
on macOS) or name it: make setup PYTHON=/path/to/python3.11."

"$python" -c 'import ensurepip, venv' 2> /dev/null || fail "$python cannot make virtual \
environments. Install its venv module ('apt-get install python3-venv' on Debian and Ubuntu)."

java_major() {
    java=${JAVA_HOME:+$JAVA_HOME/bin/}java
    "$java" -version 2>&1 | sed -n 's/.*version "\(1\.\)\{0,1\}\([0-9]*\).*/\2/p' | head -n 1
}

major=$(java_major)
if [ -z "$major" ] && [ -z "${JAVA_HOME-}" ] && [ "$(id -u)" = 0 ] && [ -f /etc/debian_version ]; then
    echo "There is no Java: installing openjdk-17-jre-headless"
    apt-get update -qq < /dev/null
    DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends \
        openjdk-17-jre-headless < /dev/null > /dev/null
    major=$(java_major)
fi
[ "${major:-0}" -ge 17 ] || fail "Spark and Kafka need Java 17 or newer; found: ${major:-none}\
${JAVA_HOME:+ (JAVA_HOME is $JAVA_HOME)}. Install it with 'apt-get install openjdk-17-jre-headless' \
(Debian, Ubuntu), 'dnf install java-21-openjdk-headless' (Fedora) or 'brew install openjdk@17' \
(macOS), or set JAVA_HOME."
