"""The templates of the bench, and the context they are rendered with."""

from __future__ import annotations

from typing import Final

GREETING: Final = "Hello, {{user.name}}! Your appointment is dated {{data.appointmentDate}}"
EMAIL: Final = """\
<!DOCTYPE html>
<html lang="{{user.language}}">
<head>
  <meta charset="utf-8">
  <title>{{data.shop.name}}: order {{data.id}}</title>
  <style>
    body { font-family: Helvetica, Arial, sans-serif; color: #222; background: #f6f6f6; }
    table { width: 100%; border-collapse: collapse; }
    td, th { padding: 6px 10px; border-bottom: 1px solid #ddd; text-align: left; }
    .total { font-weight: bold; font-size: 18px; }
    .small { font-size: 12px; color: #777; }
  </style>
</head>
<body>
  <div class="header">
    <img src="{{data.shop.logo}}" alt="{{data.shop.name}}" width="180" height="60">
  </div>
  {{#if user.surname}}
  <p>Dear {{default user.title "customer"}} {{user.name}} {{uppercase user.surname}},</p>
  {{else}}
  <p>Dear customer,</p>
  {{/if}}
  {{#unless data.paid}}
  <p>your order <b>{{data.id}}</b> of {{data.date}} waits for its payment.</p>
  {{else}}
  <p>thank you: your order <b>{{data.id}}</b> of {{data.date}} is paid and leaves today.</p>
  {{/unless}}
  <table>
    <tr><th>#</th><th>Item</th><th>Pieces</th><th>Price</th><th>Sum</th></tr>
    {{#each data.items}}
    <tr class="row">
      <td>{{@index}}</td>
      <td><a href="{{url}}">{{capitalize name}}</a></td>
      <td>{{quantity}}</td>
      <td>{{../data.currency}} {{price}}</td>
      <td>{{../data.currency}} {{toFixed (multiply price quantity) 2}}</td>
    </tr>
    {{/each}}
  </table>
  <p class="total">Total: {{data.currency}} {{data.total}}</p>
  {{#if data.discount}}
  <p>A discount of {{data.discount.percent}} % ({{data.discount.code}}) is in it.</p>
  {{/if}}
  {{#with data.address}}
  <p>
    We send it to:<br>
    {{street}} {{number}}<br>
    {{zip}} {{city}}<br>
    {{country}}
  </p>
  {{/with}}
  {{#if data.courier}}
  <p>
    {{data.courier.name}} brings it to you. Follow it
    <a href="{{data.courier.url}}">on its way</a> as {{uppercase data.courier.code}}.
  </p>
  {{/if}}
  {{#with data.shop}}
  <hr>
  <p class="small">
    {{name}}, {{street}}, {{city}}. Telephone {{phone}}, e-mail {{email}}.<br>
    You get this message because you have ordered from us. If that was not you,
    please tell us by answering it; nothing is due before the order is paid, and you can take
    it back within fourteen days.
  </p>
  {{/with}}
  <p class="small">Your customer number is {{user.number}}. Quote it when you write to us.</p>
  <p class="small">Goods stay ours until they are paid in full. Prices have the tax in them.
    What arrives broken we replace at once: a photograph and the number of the order are enough.
    Our terms, and how we treat your data, are on the pages of the shop, in your language.</p>
</body>
</html>
"""
CONTEXT: Final[dict[str, object]] = {
    "user": {
        "name": "Zoë",
        "surname": "O'Neil",
        "language": "en",
        "number": 104_233,
    },
    "data": {
        "appointmentDate": "15/10/2023",
        "id": "A-1001",
        "date": "15 October 2023",
        "currency": "EUR",
        "paid": True,
        "total": 1234.5,
        "discount": {"percent": 10, "code": "WELCOME & HI"},
        "address": {
            "street": "Via Roma",
            "number": "12/b",
            "zip": "20100",
            "city": "Milano",
            "country": "Italy",
        },
        "courier": {"name": "Bartolini", "url": "https://courier.example/t?c=1", "code": "xy77z"},
        "shop": {
            "name": "Fish & Chips Ltd",
            "logo": "https://shop.example/logo.png",
            "street": "1 High Street",
            "city": "London",
            "phone": "+44 20 7946 0000",
            "email": "hello@shop.example",
        },
        "items": [
            {
                "name": f"article number {number}",
                "url": f"https://shop.example/articles/{number}",
                "quantity": number % 3 + 1,
                "price": round(9.99 + 7.35 * number, 2),
            }
            for number in range(10)
        ],
    },
}
