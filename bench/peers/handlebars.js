// Handlebars.js with its helpers registered: compiles and renders what bench.templates gives it.
"use strict";
const path = require("path");
const modules = process.argv[2];
const Handlebars = require(path.join(modules, "handlebars"));
require(path.join(modules, "handlebars-helpers"))({ handlebars: Handlebars });

const given = JSON.parse(require("fs").readFileSync(0, "utf8"));

function rate(work, seconds) {
  for (let i = 0; i < 50; i++) work();
  let count = 0;
  let round = 1;
  const start = process.hrtime.bigint();
  for (;;) {
    const elapsed = Number(process.hrtime.bigint() - start) / 1e9;
    if (elapsed >= seconds) return count / elapsed;
    for (let i = 0; i < round; i++) work();
    count += round;
    round = Math.max(1, Math.floor(count / Math.max(elapsed, 1e-3) / 100));
  }
}

const found = {};
for (const [name, source] of Object.entries(given.templates)) {
  // Handlebars compiles when it renders first.
  const compiles = rate(() => Handlebars.compile(source)(given.context), given.seconds / 2);
  const template = Handlebars.compile(source);
  const renders = rate(() => template(given.context), given.seconds);
  found[name] = {
    renders_per_second: renders,
    compile_ms: 1000 / compiles - 1000 / renders,
    text: template(given.context),
  };
}
console.log(JSON.stringify(found));
