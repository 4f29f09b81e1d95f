// Enqueues from Node, through pg.
//
//     npm install
//     DATABASE_URL=postgres://... node enqueue.js

import pg from 'pg'

// The order (a table of yours) and its job: both, or neither.
async function placeOrder(pool, email) {
  const client = await pool.connect()
  try {
    await client.query('BEGIN')
    const order = await client.query('INSERT INTO orders (email) VALUES ($1) RETURNING id', [email])
    const job = await client.query("SELECT job_id FROM haulage.enqueue('send_receipt', $1, queue => 'mail')", [
      JSON.stringify({ order: Number(order.rows[0].id) }),
    ])
    await client.query('COMMIT')
    return job.rows[0].job_id // a string: ids are 64-bit
  } catch (error) {
    await client.query('ROLLBACK')
    throw error
  } finally {
    client.release()
  }
}

// At most one unfinished job a customer, in five minutes; a repeat gets the id of the one that is there.
async function syncLater(pool, customer, traceparent = null) {
  const { rows } = await pool.query(
    `SELECT job_id, duplicate
     FROM haulage.enqueue('sync_customer', $1, unique_key => $2, delay => '5 minutes', traceparent => $3)`,
    [JSON.stringify({ customer }), `customer:${customer}`, traceparent],
  )
  return rows[0]
}

// How a job fares: scheduled, available, running, parked, completed, dead or cancelled. undefined: no such job.
async function status(pool, jobId) {
  const { rows } = await pool.query('SELECT state, attempt, run_at, output, error FROM haulage.jobs WHERE id = $1', [jobId])
  return rows[0]
}

const pool = new pg.Pool({ connectionString: process.env.DATABASE_URL })

const receipt = await placeOrder(pool, 'ada@example.org')
console.log('receipt', receipt, (await status(pool, receipt)).state)

const trace = '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01'
const first = await syncLater(pool, 7, trace)
const again = await syncLater(pool, 7)
const same = again.duplicate && again.job_id === first.job_id
console.log('sync', first.job_id, (await status(pool, first.job_id)).state, same ? 'again' : 'twice')

// What a check refuses says what is wrong and, as the hint, what to do. It is no fault of the moment: don't retry it.
try {
  await pool.query("SELECT haulage.enqueue('no spaces in a kind')")
} catch (error) {
  if (error.code !== '22023') throw error // invalid_parameter_value
  console.log('refused:', error.message, '-', error.hint)
}

await pool.end()
