"""Enqueues from Python, through psycopg 3.

    pip install -r requirements.txt
    DATABASE_URL=postgres://... python3 enqueue.py
"""

import os

import psycopg
from psycopg.types.json import Jsonb


# The order (a table of yours) and its job: both, or neither.
def place_order(connection, email):
    with connection.transaction():
        (order,) = connection.execute("INSERT INTO orders (email) VALUES (%s) RETURNING id", (email,)).fetchone()
        (job_id,) = connection.execute(
            "SELECT job_id FROM haulage.enqueue('send_receipt', %s, queue => 'mail')",
            (Jsonb({"order": order}),),
        ).fetchone()
    return job_id


# At most one unfinished job a customer, in five minutes; a repeat gets the id of the one that is there.
def sync_later(connection, customer, traceparent=None):
    return connection.execute(
        """SELECT job_id, duplicate
           FROM haulage.enqueue('sync_customer', %s, unique_key => %s, delay => '5 minutes', traceparent => %s)""",
        (Jsonb({"customer": customer}), f"customer:{customer}", traceparent),
    ).fetchone()


# How a job fares: scheduled, available, running, parked, completed, dead or cancelled. None: no such job.
def status(connection, job_id):
    return connection.execute(
        "SELECT state, attempt, run_at, output, error FROM haulage.jobs WHERE id = %s", (job_id,)
    ).fetchone()


def main():
    with psycopg.connect(os.environ["DATABASE_URL"], autocommit=True) as connection:
        receipt = place_order(connection, "ada@example.org")
        print("receipt", receipt, status(connection, receipt)[0])

        trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
        first, _ = sync_later(connection, 7, trace)
        again, duplicate = sync_later(connection, 7)
        print("sync", first, status(connection, first)[0], "again" if duplicate and again == first else "twice")

        # What a check refuses says what is wrong and, as the hint, what to do. It is no fault of the moment: don't retry it.
        try:
            connection.execute("SELECT haulage.enqueue('no spaces in a kind')")
        except psycopg.errors.InvalidParameterValue as error:
            print("refused:", error.diag.message_primary, "-", error.diag.message_hint)


if __name__ == "__main__":
    main()
