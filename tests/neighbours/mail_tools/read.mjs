// Reads an array of mails in base64 from standard input and tells what mailparser finds in each.
import { createRequire } from "node:module";
import { text } from "node:stream/consumers";

const require = createRequire(`${process.argv[2]}/`);
const { simpleParser } = require("mailparser");

const addresses = (field) =>
  (field?.value ?? []).flatMap((one) => one.group ?? [one]).map(({ address, name }) => [name, address]);

const told = async (base64) => {
  const mail = await simpleParser(Buffer.from(base64, "base64"), { skipImageLinks: true, maxHtmlLengthToParse: 2e6 });
  return {
    headers: mail.headerLines.map(({ key }) => key),
    from: addresses(mail.from),
    to: addresses(mail.to),
    cc: addresses(mail.cc),
    subject: mail.subject ?? "",
    text: mail.text ?? null,
    html: mail.html || null,
    messageId: mail.messageId ?? null,
    date: mail.date ? mail.date.toISOString() : null,
    list: mail.headers.get("list") ?? null,
    attachments: mail.attachments.map((one) => ({
      name: one.filename ?? null,
      mediaType: one.contentType,
      disposition: one.contentDisposition,
      cid: one.cid ?? null,
      content: one.content.toString("base64"),
    })),
  };
};

const mails = JSON.parse(await text(process.stdin));
console.log(JSON.stringify(await Promise.all(mails.map(told))));
