// Writes ../dist/SOURCES.sha256: a line "<sha256>  <path>" for every file that the built assets are made from, sorted by
// path. A Go test computes it again, so that assets older than their sources are found where there is no Node.
import { createHash } from 'node:crypto'
import { readFileSync, readdirSync, writeFileSync } from 'node:fs'
import { join, sep } from 'node:path'

const root = import.meta.dirname

function* files(dir) {
  for (const entry of readdirSync(join(root, dir), { withFileTypes: true })) {
    const path = join(dir, entry.name)
    if (entry.name === 'node_modules') continue
    if (entry.isDirectory()) yield* files(path)
    else yield path.split(sep).join('/')
  }
}

const lines = [...files('')]
  .sort() // by code unit; the names are ASCII, so that this is the order of Go's strings
  .map((path) => `${createHash('sha256').update(readFileSync(join(root, path))).digest('hex')}  ${path}\n`)
writeFileSync(join(root, '../dist/SOURCES.sha256'), lines.join(''))
