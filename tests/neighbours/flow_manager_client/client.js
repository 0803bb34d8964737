// Runs Mia-Platform's own client: what it receives goes out as lines of JSON, what comes in is emitted.
// usage: node client.js BROKERS GROUP READS_TOPIC WRITES_TOPIC LABEL...
'use strict'

const readline = require('readline')
const { FMClientBuilder } = require('@mia-platform/flow-manager-client')
const pino = require('pino')

const [brokers, groupId, reads, writes, ...labels] = process.argv.slice(2)
const say = line => process.stdout.write(`${JSON.stringify(line)}\n`)

const client = new FMClientBuilder(pino({ level: 'silent' }), { clientId: 'flow-manager', brokers })
  .configureCommandsExecutor(reads, { groupId, sessionTimeout: 6000, heartbeatInterval: 1000 })
  .configureEventsEmitter(writes)
  .build()

for (const label of labels) {
  client.onCommand(label, async(sagaId, metadata) => say({ key: sagaId, label, payload: metadata }))
}

async function main() {
  // It gives up after 600 ms, though it goes on joining: the group takes longer.
  await client.start().catch(() => null)
  while (!client.isReady()) {
    await new Promise(resolve => setTimeout(resolve, 50))
  }
  say({ ready: true })
  for await (const line of readline.createInterface({ input: process.stdin })) {
    const { key, label, payload } = JSON.parse(line)
    await client.emit(label, key, payload)
  }
  await client.stop()
}

main().then(() => process.exit(0), error => {
  process.stderr.write(`${error.stack}\n`)
  process.exit(1)
})
