# A ZooKeeper server: docs/containers.md. Variables and paths are those of the official image.
FROM docker.io/library/python:3.11-slim AS build
WORKDIR /src
COPY pyproject.toml README.md LICENSE ./
COPY pyzk pyzk
# Not in editable form, and compiled here: the file system of a running container may be read-only.
RUN python -m venv --without-pip /zk/.venv \
    && python -m pip --disable-pip-version-check --no-cache-dir --python /zk/.venv/bin/python install --quiet ".[snappy]" \
    && /zk/.venv/bin/python -m compileall -q -j 0 /zk/.venv/lib > /dev/null; rm -f /zk/.venv/bin/pyzk*
COPY bin /zk/bin
COPY conf/zoo_sample.cfg conf/prometheus.yml conf/prometheus-alerts.yml conf/grafana-dashboard.json /zk/conf/
RUN useradd --no-create-home --uid 1000 --user-group --home-dir /data zookeeper \
    && mkdir -p /volumes/conf /volumes/data /volumes/datalog /volumes/logs \
    && ln -s /data/zoo.cfg /volumes/conf/zoo.cfg && chown -R 1000:1000 /volumes/*

FROM docker.io/library/python:3.11-slim
COPY --from=build /etc/passwd /etc/group /etc/
COPY --from=build /zk /zk
COPY --from=build --chown=1000:1000 /volumes /
ENV PATH=/zk/bin:$PATH ZOOCFGDIR=/conf ZOO_LOG_DIR=/logs
USER 1000:1000
WORKDIR /zk
VOLUME ["/data", "/datalog", "/logs"]
EXPOSE 2181 2888 3888 8080
# Healthy: it serves, alone or with a quorum.
HEALTHCHECK --interval=10s --timeout=5s --start-period=60s --retries=3 CMD ["zkServer.sh", "status"]
STOPSIGNAL SIGTERM
ENTRYPOINT ["/zk/bin/docker-entrypoint.sh"]
CMD ["zkServer.sh", "start-foreground"]
