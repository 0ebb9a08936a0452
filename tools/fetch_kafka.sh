#!/bin/sh
# Puts the jars of an Apache Kafka broker under .cache/kafka/lib, for tests/kafka_broker_test.py: the server and what it
# needs at run time, from the machine's own Maven configuration (45 MB; Maven holds them against their checksums).
# Exit status: always 0; without them, .cache/kafka/reason says why and the test skips.
set -eu

root=$(CDPATH='' cd -- "$(dirname -- "$0")/.." && pwd)
out="$root/.cache/kafka"

kafka=org.apache.kafka:kafka_2.13:4.1.0 # 4.x: no ZooKeeper; its broker wants Java 17
plugin=org.apache.maven.plugins:maven-dependency-plugin:3.8.1
java_min=17

say() { printf '%s\n' "kafka: $*" >&2; }
has() { command -v "$1" >/dev/null 2>&1; }

if [ "$(cat "$out/stamp" 2>/dev/null)" = "$kafka" ]; then exit 0; fi
# With no registry in reach, asking on every run would cost a minute each time.
if [ -n "$(find "$out/reason" -mmin -60 2>/dev/null)" ]; then exit 0; fi

mkdir -p "$out"
work=$(mktemp -d "$out/fetch.XXXXXX")
trap 'rm -rf "$work"' EXIT
trap 'exit 130' INT TERM

# Says why on standard output and returns 1 when it cannot.
fetch() {
  for program in java mvn; do
    has "$program" || { echo "$program is not installed (the packages default-jre-headless and maven)"; return 1; }
  done
  version=$(java -version 2>&1 | sed -n 's/.* version "\([0-9]*\).*/\1/p')
  [ "${version:-0}" -ge "$java_min" ] || { echo "java is ${version:-unknown}, the broker wants $java_min"; return 1; }
  IFS=: read -r group artifact number <<END
$kafka
END
  cat >"$work/pom.xml" <<END
<project>
  <modelVersion>4.0.0</modelVersion>
  <groupId>penstock</groupId><artifactId>kafka-broker</artifactId><version>1</version><packaging>pom</packaging>
  <dependencies>
    <dependency><groupId>$group</groupId><artifactId>$artifact</artifactId><version>$number</version></dependency>
  </dependencies>
</project>
END
  say "fetching an Apache Kafka broker for the tests (45 MB)"
  if ! timeout 300 mvn --batch-mode --quiet --strict-checksums -f "$work/pom.xml" "$plugin:copy-dependencies" \
    -DincludeScope=runtime "-DoutputDirectory=$work/lib" >"$work/mvn.log" 2>&1; then
    echo "mvn could not fetch $kafka: $(grep -m 1 ERROR "$work/mvn.log" | cut -c1-200)"
    return 1
  fi
  rm -rf "$out/lib"
  mv "$work/lib" "$out/lib"
}

if why=$(fetch); then
  echo "$kafka" >"$out/stamp"
  rm -f "$out/reason"
else
  echo "$why" >"$out/reason"
  say "$why; the test with a real broker will be skipped (remove .cache/kafka/reason to try again at once)"
fi
