// Copyright: (c) 2026, the xapi.xenserver authors
// SPDX-License-Identifier: GPL-3.0-or-later
//
// What Xen Orchestra does all day with its client, xen-api: connect, follow objects by events, run tasks, move disks.
// Called by test_xen_api.py, which puts the package in reach; prints one line of JSON for each thing done.

import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { createRequire } from 'node:module'
import { pathToFileURL } from 'node:url'

const [modules, url, transport] = process.argv.slice(2)
const { createClient } = await import(pathToFileURL(createRequire(modules).resolve('xen-api')))

const MIB = 1024 * 1024
const NULL = 'OpaqueRef:NULL'
const seen = what => console.log(JSON.stringify(what))
const digest = data => createHash('sha256').update(data).digest('hex')

// The client warns of what it gets over by itself; here nothing should need that.
const warnings = []
console.warn = (...words) => warnings.push(words.map(String).join(' '))

const auth = { user: process.env.XAPI_USER, password: process.env.XAPI_PASSWORD }
const xapi = createClient({ url, auth, transport, debounce: 20 })

async function objects() {
  await xapi.connect()
  await xapi.objectsFetched
  const vms = Object.values(xapi.objects.all).filter(object => object.$type === 'VM')
  const template = vms.find(vm => vm.name_label === 'Debian 12 (cloud image)')
  // Records are wired to each other: $VBDs, $VDI, $SR, $pool.
  const disk = template.$VBDs.find(vbd => vbd.type === 'Disk').$VDI
  seen({ objects: { pool: xapi.pool.name_label, hosts: xapi.pool.$master.name_label, sr: disk.$SR.name_label, size: disk.virtual_size } })
  return { template, sr: disk.$SR }
}

async function life(template) {
  const ref = await xapi.callAsync('VM.clone', template.$ref, 'strange')
  await xapi.callAsync('VM.provision', ref)
  let vm = await xapi.barrier(ref)
  assert.equal(vm.name_label, 'strange')
  assert.equal(vm.is_a_template, false)
  await vm.set_name_description('seen <by> & "all"')
  await vm.update_other_config({ one: '1', two: '2' })
  await vm.update_other_config('one', null)
  await vm.add_tags('strange')
  vm = await xapi.barrier(ref)
  seen({ changed: { description: vm.name_description, one: vm.other_config.one, two: vm.other_config.two, tags: vm.tags } })
  await vm.$callAsync('start', false, false)
  vm = await xapi.barrier(ref)
  const running = vm.power_state
  await vm.$callAsync('hard_shutdown')
  vm = await xapi.barrier(ref)
  seen({ power: [running, vm.power_state] })
  const refused = await vm.$callAsync('unpause').catch(error => error)
  assert.equal(refused.code, 'VM_BAD_POWER_STATE')
  seen({ refused: [refused.code, ...refused.params.slice(1)] })
  for (const { VDI, type } of vm.$VBDs) {
    if (type === 'Disk' && VDI !== NULL) await xapi.call('VDI.destroy', VDI)
  }
  await vm.$callAsync('destroy')
  await xapi.barrier()
  assert.equal(xapi.getObjectByRef(ref, undefined), undefined)
}

async function disk(sr, stream) {
  const size = 4 * MIB
  const record = { name_label: 'strange disk', SR: sr.$ref, virtual_size: size, type: 'user', sharable: false, read_only: false, other_config: {} }
  const vdi = await xapi.call('VDI.create', record)
  const data = Buffer.alloc(size)
  for (let at = 0; at < size; at += 7) data[at] = at % 251
  let body = data
  if (stream) {
    const { Readable } = await import('node:stream')
    body = Readable.from([data.subarray(0, 1000), data.subarray(1000)])
    body.length = size
  }
  await xapi.putResource(body, '/import_raw_vdi/', { query: { vdi, format: 'raw' }, task: true })
  const response = await xapi.getResource('/export_raw_vdi/', { query: { vdi, format: 'raw' }, task: true })
  const back = Buffer.from(await response.body.arrayBuffer())
  await response.task
  seen({ disk: [back.length === size, digest(back) === digest(data)] })
  const vhd = await xapi.getResource('/export_raw_vdi/', { query: { vdi, format: 'vhd' } })
  const start = Buffer.from(await vhd.body.arrayBuffer()).subarray(0, 8).toString()
  seen({ vhd: start })
  await xapi.call('VDI.destroy', vdi)
}

const { template, sr } = await objects()
await life(template)
await disk(sr, false)
await disk(sr, true)
await xapi.disconnect()
seen({ warnings })
process.exit(0) // its poll for events may still be waiting
