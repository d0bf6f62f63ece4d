# syntax=docker/dockerfile:1
# The images of both programs: `make image`. They have the very programs that `make build` has put into out/, and of a Debian or Ubuntu system, which
# is BASE, what these run with: the C library and its loader, OpenSSL 3, certificates of authorities. No shell.

ARG BASE=debian:bookworm-slim
FROM ${BASE} AS system
# What the base lacks. A base that has all of it needs no network here.
RUN { ldconfig -p | grep -q 'libssl\.so\.3 ' && test -e /etc/ssl/certs/ca-certificates.crt; } \
    || { apt-get update && apt-get install --yes --no-install-recommends libssl3 ca-certificates; }
COPY out/keepalive-agent out/keepalive-sim /programs/
COPY scripts/native-libraries /programs/
RUN for program in keepalive-agent keepalive-sim; do \
        install -D -m 755 /programs/$program /image/$program/usr/bin/$program \
        && /programs/native-libraries /image/$program /programs/$program || exit 1; \
    done

FROM scratch AS keepalive-sim
COPY --from=system /image/keepalive-sim /
COPY LICENSE THIRD-PARTY-NOTICES.md /usr/share/doc/keepalive/
COPY licenses /usr/share/doc/keepalive/licenses/
COPY src/Agent/Bpf/LICENSE.BSD-2-Clause src/Agent/Bpf/LICENSE.GPL-2.0 /usr/share/doc/keepalive/src/Agent/Bpf/
ENV PATH=/usr/bin
USER 65532:65532
ENTRYPOINT ["/usr/bin/keepalive-sim"]
CMD ["balancers"]
ARG VERSION=unknown REVISION=unknown
LABEL org.opencontainers.image.title=keepalive-sim \
      org.opencontainers.image.description="Shows what TCP keepalive does to connections behind idle load balancers" \
      org.opencontainers.image.licenses=Apache-2.0 \
      org.opencontainers.image.version=$VERSION \
      org.opencontainers.image.revision=$REVISION

FROM scratch AS keepalive-agent
COPY --from=system /image/keepalive-agent /
COPY LICENSE THIRD-PARTY-NOTICES.md /usr/share/doc/keepalive/
COPY licenses /usr/share/doc/keepalive/licenses/
COPY src/Agent/Bpf/LICENSE.BSD-2-Clause src/Agent/Bpf/LICENSE.GPL-2.0 /usr/share/doc/keepalive/src/Agent/Bpf/
ENV PATH=/usr/bin
# Root, with the few capabilities that deploy/daemonset names: those of another user would be lost when the program is started.
USER 0:0
EXPOSE 9464
ENTRYPOINT ["/usr/bin/keepalive-agent"]
CMD ["support"]
ARG VERSION=unknown REVISION=unknown
LABEL org.opencontainers.image.title=keepalive-agent \
      org.opencontainers.image.description="Keeps idle TCP connections alive behind load balancers and NATs: sets keepalive by policy" \
      org.opencontainers.image.licenses=Apache-2.0 \
      org.opencontainers.image.version=$VERSION \
      org.opencontainers.image.revision=$REVISION
