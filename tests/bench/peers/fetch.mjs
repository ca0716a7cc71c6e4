// Node's fetch for bench_client.lua: node fetch.mjs URL N. Prints what peer_client.c prints.
const [url, count] = [process.argv[2], Number(process.argv[3])];

async function round() {
  const start = performance.now();
  await Promise.all(Array.from({ length: count }, async () => {
    const res = await fetch(url);
    if (res.status !== 200) throw new Error(`status ${res.status}`);
    await res.text();
  }));
  return performance.now() - start;
}

const cold = await round();
const warm = await round() + await round();
const use = process.resourceUsage();
const cpu = (use.userCPUTime + use.systemCPUTime) / 1000;
console.log(cold.toFixed(1), warm.toFixed(1), cpu.toFixed(1), (use.maxRSS / 1024).toFixed(1));
process.exit(0);
