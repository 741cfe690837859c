"""A server of Spark Connect: an application that has nothing of its own to do. The service starts when there is a session to serve; as a plugin
of the driver it would answer before, and fail."""

import time

from pyspark.sql import SparkSession

session = SparkSession.builder.getOrCreate()
context = session.sparkContext._jsc.sc()
session._jvm.org.apache.spark.sql.connect.service.SparkConnectService.start(context)
while not context.isStopped():
    time.sleep(2)
raise SystemExit("the session has ended")
