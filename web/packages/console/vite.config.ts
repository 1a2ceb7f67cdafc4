import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { gzipSync } from 'node:zlib';
import { defineConfig, type Plugin } from 'vite';
import { configDefaults } from 'vitest/config';

/** The daemon serves files as they lie in the folder: what is worth compressing is compressed here, once. */
function compressed(folder: () => string): Plugin {
  return {
    name: 'compressed',
    apply: 'build',
    closeBundle() {
      for (const entry of readdirSync(folder(), { recursive: true, withFileTypes: true })) {
        if (!entry.isFile() || !/\.(html|js|css|svg|json)$/.test(entry.name)) continue;
        const path = join(entry.parentPath ?? entry.path, entry.name);
        writeFileSync(`${path}.gz`, gzipSync(readFileSync(path), { level: 9 }));
      }
    },
  };
}

const outDir = resolve(process.env['TANDEM_WEB_OUT'] ?? 'dist');

export default defineConfig({
  base: './',
  esbuild: { jsx: 'automatic', jsxImportSource: 'preact' },
  plugins: [compressed(() => outDir)],
  resolve: { alias: { '@tandem/client': resolve('../client/src/index.ts') } },
  build: { outDir, emptyOutDir: true, target: 'es2022', assetsInlineLimit: 0, modulePreload: { polyfill: false } },
  // `npm run dev`: the pages of this folder, REST of a running `tandem demo`.
  server: {
    proxy: {
      '/api': { target: 'https://127.0.0.1:8443', secure: false },
      '/rtc': { target: 'wss://127.0.0.1:8443', secure: false, ws: true },
    },
  },
  test: { environment: 'happy-dom', exclude: [...configDefaults.exclude] },
} as Parameters<typeof defineConfig>[0]);
