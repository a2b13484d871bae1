"""An application of Spark: adds numbers up for whoever writes how many to its standard input (spark_cluster.py).

Run by the Python that has pyspark, with the masters' URL, a name and the memory of an executor.
"""

import os
import sys

from pyspark import SparkConf, SparkContext  # type: ignore[import-not-found]

PARTITIONS = 8


def main() -> None:
    url, name, memory = sys.argv[1:]
    settings = {
        "spark.executor.memory": memory,
        "spark.executor.cores": "1",
        "spark.cores.max": "2",
        "spark.driver.host": "127.0.0.1",
        "spark.driver.memory": memory,
        "spark.driver.extraJavaOptions": "-XX:+UseSerialGC -XX:TieredStopAtLevel=1",
        "spark.executor.extraJavaOptions": "-XX:+UseSerialGC -XX:TieredStopAtLevel=1",
        "spark.ui.enabled": "false",
    }
    context = SparkContext(conf=SparkConf().setMaster(url).setAppName(name).setAll(settings.items()))
    print(context.applicationId, flush=True)
    for line in sys.stdin:
        numbers = context.parallelize(range(int(line)), PARTITIONS)
        added = numbers.mapPartitions(lambda part: [(sum(part), os.getppid())]).collect()
        print(sum(total for total, _ in added), *sorted({process for _, process in added}), flush=True)
    context.stop()


if __name__ == "__main__":
    main()
