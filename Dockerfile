# syntax=docker/dockerfile:1
# The image of both programs: `make image`. One executable each; beside them only what they run with.

FROM mcr.microsoft.com/dotnet/sdk:10.0-noble AS build
# A linker, the libraries that become part of the programs, a compiler for the eBPF object, and what the image has of the system.
RUN apt-get update \
    && apt-get install --yes --no-install-recommends \
        gcc libc6-dev libpcap0.8-dev libbpf-dev libelf-dev zlib1g-dev libzstd-dev clang linux-libc-dev libssl3t64 ca-certificates \
    && rm -rf /var/lib/apt/lists/*
WORKDIR /source
COPY . .
ARG VERSION=0.1.0
# Nothing is optional here as it is on a developer's machine.
RUN MINVERVERSIONOVERRIDE="$VERSION" scripts/build ships \
    && grep -q '^ahead of time' out/keepalive-agent.build \
    && scripts/native-libraries /image out/keepalive-agent out/keepalive-sim

FROM scratch AS final
COPY --from=build /image /
COPY --from=build /source/out/keepalive-agent /source/out/keepalive-sim /usr/bin/
COPY LICENSE THIRD-PARTY-NOTICES.md /usr/share/doc/keepalive/
COPY licenses /usr/share/doc/keepalive/licenses/
COPY src/Agent/Bpf/LICENSE.BSD-2-Clause src/Agent/Bpf/LICENSE.GPL-2.0 /usr/share/doc/keepalive/src/Agent/Bpf/
ENV PATH=/usr/bin
# Root, with the few capabilities that deploy/daemonset names: those of another user would be lost when the program is started.
USER 0:0
EXPOSE 9464
ENTRYPOINT ["/usr/bin/keepalive-agent"]
CMD ["support"]
