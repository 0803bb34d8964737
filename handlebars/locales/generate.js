// Writes intl.json: how Node's Intl writes numbers and date-times in every locale that it knows.
//
//     node handlebars/locales/generate.js > handlebars/locales/intl.json
//
// The table has an entry for a tag only where it differs from that of the tag one subtag shorter.
'use strict';

const DATE = {year: 'numeric', month: 'numeric', day: 'numeric', hour: 'numeric', minute: 'numeric', second: 'numeric', timeZone: 'UTC'};
// 3 April 2024 at 5:05:09: no field of it has two digits by itself. The Persian day has, which is 15
// Farvardin 1403; every locale that shows it pads it as it pads the month.
const MORNING = Date.UTC(2024, 3, 3, 5, 5, 9);
const AFTERNOON = Date.UTC(2024, 3, 3, 13, 5, 9);
const LETTERS = [...'abcdefghijklmnopqrstuvwxyz'];
const CAPITALS = LETTERS.map((letter) => letter.toUpperCase());

const canonical = (tag) => Intl.getCanonicalLocales(tag)[0];
const known = (tag) => new Intl.DateTimeFormat(tag).resolvedOptions().locale === tag;
const systems = Intl.supportedValuesOf('numberingSystem').filter((system) =>
  [...digitsOf(system)].length === 10);

function digitsOf(system) {
  const format = new Intl.NumberFormat(`en-u-nu-${system}`, {useGrouping: false});
  return '0123456789'.replace(/\d/g, (digit) => format.format(Number(digit)));
}

function languages() {
  const pairs = LETTERS.flatMap((first) => LETTERS.map((second) => first + second));
  return [...pairs, ...pairs.flatMap((pair) => LETTERS.map((third) => pair + third))];
}

function regions() {
  const numbers = Array.from({length: 1000}, (_, number) => String(number).padStart(3, '0'));
  return [...CAPITALS.flatMap((first) => CAPITALS.map((second) => first + second)), ...numbers];
}

const languageAliases = {};
const plainLanguages = [];
for (const language of languages()) {
  const meant = canonical(language);
  if (meant !== language && known(meant)) languageAliases[language] = meant;
  else if (meant === language && known(language)) plainLanguages.push(language);
}
const regionAliases = {};
for (const region of regions()) {
  const meant = canonical(`und-${region}`).slice(4);
  if (meant && meant !== region) regionAliases[region] = meant;
}

// toLocaleString has plain spaces where formatToParts has narrow ones that do not break.
const plain = (text) => text.replaceAll('\u202f', ' ');

function quoted(text) {
  return /[A-Za-z']/.test(text) ? `'${text.replaceAll("'", "''")}'` : text;
}

function field(part, twelve, persian) {
  // The sample date has days, months and hours of one digit in the Gregorian calendar.
  const two = part.value.length > 1 && part.value.startsWith('0');
  switch (part.type) {
    case 'year': return 'y';
    case 'month': return two ? 'MM' : 'M';
    case 'day': return (persian ?? two) ? 'dd' : 'd';
    case 'hour': return (twelve ? 'h' : 'H').repeat(two ? 2 : 1);
    case 'minute': return two ? 'mm' : 'm';
    case 'second': return two ? 'ss' : 's';
    case 'dayPeriod': return 'a';
    case 'era': return 'G';
    case 'literal': return quoted(plain(part.value));
    default: throw new Error(`${part.type}: ${part.value}`);
  }
}

function dateStyle(tag) {
  const own = new Intl.DateTimeFormat(tag, DATE).resolvedOptions();
  const format = new Intl.DateTimeFormat(`${tag}-u-nu-latn`, DATE);
  const [morning, afternoon] = [MORNING, AFTERNOON].map((at) => format.formatToParts(at));
  const value = (parts, type) => plain(parts.find((part) => part.type === type)?.value ?? '');
  const padded = own.calendar === 'persian' ? value(morning, 'month').startsWith('0') : undefined;
  const pattern = morning.map((part) => field(part, own.hourCycle === 'h12', padded)).join('');
  const style = {pattern, digits: own.numberingSystem, am: value(morning, 'dayPeriod'), pm: value(afternoon, 'dayPeriod')};
  if (own.calendar !== 'gregory') Object.assign(style, {calendar: own.calendar, era: value(morning, 'era')});
  return style;
}

function numberStyle(tag, system) {
  const format = new Intl.NumberFormat(`${tag}-u-nu-${system}`);
  const parts = format.formatToParts(-1234567890.5);
  const value = (type) => parts.find((part) => part.type === type)?.value ?? '';
  const is = (part) => ['integer', 'group', 'decimal', 'fraction'].includes(part.type);
  const [first, last] = [parts.findIndex(is), parts.findLastIndex(is)];
  const text = (some) => some.map((part) => part.value).join('');
  const wholes = parts.filter((part) => part.type === 'integer').map((part) => [...part.value].length);
  const grouped = (number) => format.formatToParts(number).some((part) => part.type === 'group');
  return {
    decimal: value('decimal'),
    group: value('group'),
    sizes: wholes.length > 1 ? [wholes.at(-1), wholes.at(-2)] : [0, 0],
    least: grouped(1234) ? 1 : 2,
    negative: [text(parts.slice(0, first)), text(parts.slice(last + 1))],
    nan: format.format(NaN),
    infinity: text(format.formatToParts(Infinity).filter((part) => part.type === 'infinity')),
  };
}

function numbered(list) {
  const found = new Map();
  return (style) => {
    const text = JSON.stringify(style);
    if (!found.has(text)) {
      found.set(text, list.length);
      list.push(style);
    }
    return found.get(text);
  };
}

// Longer tags after shorter ones, so that each finds what it would fall back to.
function candidates() {
  const territories = [...new Set(regions().map((region) => regionAliases[region] ?? region))].filter((region) => !region.includes(' '));
  const scripts = ['Adlm', 'Arab', 'Beng', 'Cans', 'Cher', 'Cyrl', 'Deva', 'Dsrt', 'Ethi', 'Guru', 'Hans', 'Hant', 'Hebr', 'Java', 'Latn', 'Mong', 'Mtei', 'Mymr', 'Nkoo', 'Olck', 'Orya', 'Shaw', 'Syrc', 'Telu', 'Tfng', 'Vaii', 'Yiii'];
  const variants = ['be-tarask', 'ca-valencia', 'ca-ES-valencia', 'en-posix', 'en-US-posix'];
  const heads = plainLanguages.flatMap((language) => [language, ...scripts.map((script) => `${language}-${script}`).filter(known)]);
  const withRegion = (head) => territories.map((region) => `${head}-${region}`).filter(known);
  return [...heads, ...heads.flatMap(withRegion), ...variants.filter(known)].filter((tag) => canonical(tag) === tag || variants.includes(tag));
}

function table(tags, styleOf, otherwise) {
  const rows = {};
  const inherited = (tag) => {
    for (let shorter = tag; shorter.includes('-');) {
      shorter = shorter.slice(0, shorter.lastIndexOf('-'));
      if (shorter in rows) return rows[shorter];
    }
    return otherwise;
  };
  for (const tag of tags) {
    const style = styleOf(tag);
    if (style !== inherited(tag)) rows[tag] = style;
  }
  return rows;
}

const tags = candidates();
const [dateStyles, numberStyles] = [[], []];
const [dateIndex, numberIndex] = [numbered(dateStyles), numbered(numberStyles)];
const dates = table(tags, (tag) => dateIndex(dateStyle(tag)));
const latin = new Map(tags.map((tag) => [tag, numberIndex(numberStyle(tag, 'latn'))]));
const numbers = {latn: table(tags, (tag) => latin.get(tag))};
for (const system of systems) {
  // Most locales write other digits with the signs that they write Latin ones with: -1.
  const own = (tag) => {
    const style = numberIndex(numberStyle(tag, system));
    return style === latin.get(tag) ? -1 : style;
  };
  const rows = table(tags, own, -1);
  if (Object.keys(rows).length) numbers[system] = rows;
}
const digits = Object.fromEntries(systems.map((system) => [system, digitsOf(system)]));
// One style a line, so that a change of a locale can be read.
const lines = (list) => `[\n${list.map((row) => JSON.stringify(row)).join(',\n')}\n]`;
const source = `Intl of ICU ${process.versions.icu}, CLDR ${process.versions.cldr}`;
const parts = {source, languages: languageAliases, regions: regionAliases, digits, dates, numbers};
const members = Object.entries(parts).map(([name, part]) => `"${name}": ${JSON.stringify(part)}`);
members.push(`"dateStyles": ${lines(dateStyles)}`, `"numberStyles": ${lines(numberStyles)}`);
console.log(`{\n${members.join(',\n')}\n}`);
