"""Templates against Handlebars.js in Node."""
