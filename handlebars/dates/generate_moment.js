// Writes moment.json: how the locales of moment.js 2 write names, ordinals and formats.
//
//     npm install moment@2 && node handlebars/dates/generate_moment.js > handlebars/dates/moment.json
'use strict';

const {readdirSync} = require('fs');
const {dirname, join} = require('path');
const moment = require(require.resolve('moment', {paths: [process.cwd()]}));

const folder = join(dirname(require.resolve('moment', {paths: [process.cwd()]})), 'locale');
const names = ['en', ...readdirSync(folder).map((file) => file.replace(/\.js$/, '')).filter((name) => name !== 'en')];
const FORMATS = ['LTS', 'LT', 'L', 'LL', 'LLL', 'LLLL', 'l', 'll', 'lll', 'llll'];
const months = Array.from({length: 12}, (_, month) => moment.utc([2024, month, 15]));
const days = Array.from({length: 7}, (_, day) => moment.utc([2024, 8, 1 + day])); // a Sunday first

function row(name) {
  const plain = (at) => at.clone().locale(name);
  const data = moment.localeData(name);
  const digits = data.postformat('0123456789');
  const undigited = (text) => (digits === '0123456789' ? text : data.preparse(text));
  const shown = (list, format) => list.map((at) => undigited(plain(at).format(format)));
  const inDate = (format) => months.map((at) => undigited(plain(at).format(`D ${format}`)).replace(/^15 /, ''));
  const halves = (lower) => Array.from({length: 24}, (_, hour) => data.meridiem(hour, 0, lower));
  const found = {
    months: shown(months, 'MMMM'), monthsInDate: inDate('MMMM'),
    short: shown(months, 'MMM'), shortInDate: inDate('MMM'),
    days: shown(days, 'dddd'), shortDays: shown(days, 'ddd'), minDays: shown(days, 'dd'),
    formats: FORMATS.map((format) => data.longDateFormat(format)),
    ordinals: Array.from({length: 31}, (_, day) => String(data.ordinal(day + 1, 'D'))),
    upper: halves(false), lower: halves(true),
    week: [data.firstDayOfWeek(), data.firstDayOfYear()],
  };
  if (digits !== '0123456789') found.digits = digits;
  if (data.postformat(',') !== ',') found.comma = data.postformat(',');
  if (data._months?.isFormat) found.inDate = data._months.isFormat.source;
  if (String(found.monthsInDate) === String(found.months)) delete found.monthsInDate;
  if (String(found.shortInDate) === String(found.short)) delete found.shortInDate;
  if (String(found.lower) === String(found.upper)) delete found.lower;
  return found;
}

const rows = names.map((name) => `${JSON.stringify(name)}: ${JSON.stringify(row(name))}`);
console.log(`{\n${rows.join(',\n')}\n}`);
