# syntax=docker/dockerfile:1
# The image of both programs: `make image`. Official .NET images, which are Ubuntu 24.04 (noble); package names below are noble's.

FROM mcr.microsoft.com/dotnet/sdk:10.0-noble AS build
# What the programs of the bpf datapath are compiled with.
RUN apt-get update \
    && apt-get install --yes --no-install-recommends clang libbpf-dev linux-libc-dev \
    && rm -rf /var/lib/apt/lists/*
WORKDIR /source
COPY . .
# Nothing here is optional as it is on a developer's machine: compiled ahead of time, and with the bpf datapath.
RUN KEEPALIVE_READY_TO_RUN=required scripts/publish Agent Release \
    && KEEPALIVE_READY_TO_RUN=required scripts/publish Simulator Release \
    && find src/Agent/obj -name keepalive.bpf.o -size +0 | grep -q .

# The native libraries, with what they are linked with.
FROM mcr.microsoft.com/dotnet/aspnet:10.0-noble AS native
ARG NATIVE_PACKAGES="libpcap0.8t64 libbpf1 libelf1t64 zlib1g"
RUN apt-get update \
    && apt-get install --yes --no-install-recommends $NATIVE_PACKAGES \
    && rm -rf /var/lib/apt/lists/*
COPY scripts/native-libraries /usr/local/bin/
RUN native-libraries /native $NATIVE_PACKAGES

# Chiselled: the runtime and what it is linked with; no shell, no package manager.
FROM mcr.microsoft.com/dotnet/aspnet:10.0-noble-chiseled AS final
COPY --from=native /native /
COPY --from=build /source/out /app
# Nothing that another process could attach to, no files under /tmp: the root may be read-only.
ENV DOTNET_EnableDiagnostics=0 \
    ASPNETCORE_HTTP_PORTS= \
    PATH=/app:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
# Root, with the few capabilities that deploy/daemonset names: those of another user would be lost when the program is started.
USER 0:0
EXPOSE 9464
ENTRYPOINT ["/app/keepalive-agent"]
CMD ["support"]
