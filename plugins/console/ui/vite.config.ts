import react from '@vitejs/plugin-react'
import { defineConfig } from 'vite'

// The daemon mounts the console at / and at /plugins/<address>/, so assets are found relative to the page. The built
// files are committed and embedded by the plugin: nothing in them may depend on the machine that builds them.
export default defineConfig({
  plugins: [react()],
  base: './',
  build: {
    outDir: '../dist',
    emptyOutDir: true,
    assetsInlineLimit: 0, // the Content-Security-Policy allows no script or image from within the page
    modulePreload: { polyfill: false },
    license: { fileName: 'licenses.md' },
    rolldownOptions: {
      output: {
        // What changes at different times is kept in different files: a release that changes the page alone leaves the
        // libraries in the browsers' caches.
        codeSplitting: {
          groups: [
            { name: 'editor', test: /node_modules\/(@codemirror|@lezer|@prometheus-io|lru-cache|@marijn|crelt|style-mod|w3c-keyname)/ },
            { name: 'libraries', test: /node_modules/ },
          ],
        },
      },
    },
  },
})
