// The same three routes on Node's http module. Argument: the port.
import http from "node:http";

http.createServer((req, res) => {
  if (req.url === "/hello") {
    res.setHeader("Content-Type", "text/plain; charset=utf-8");
    res.end("Hello, World!");
  } else if (req.url === "/json") {
    const body = JSON.stringify({ message: "Hello, World!", id: 42, items: [1, 2, 3] });
    res.setHeader("Content-Type", "application/json");
    res.setHeader("Content-Length", Buffer.byteLength(body));
    res.end(body);
  } else {
    const pieces = [];
    req.on("data", (piece) => pieces.push(piece));
    req.on("end", () => {
      const body = Buffer.concat(pieces);
      res.setHeader("Content-Length", body.length);
      res.end(body);
    });
  }
}).listen(Number(process.argv[2]), "127.0.0.1");
