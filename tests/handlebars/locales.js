// Reads [[tag, number or {"date": ms}], …] and writes what toLocaleString makes of each.
const cases = JSON.parse(require('fs').readFileSync(0, 'utf8'));
const texts = cases.map(([tag, value]) =>
  value.date === undefined ? value.toLocaleString(tag) : new Date(value.date).toLocaleString(tag, {timeZone: 'UTC'}));
console.log(JSON.stringify({source: `Intl of ICU ${process.versions.icu}, CLDR ${process.versions.cldr}`, texts}));
