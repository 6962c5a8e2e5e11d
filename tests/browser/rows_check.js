// Changes rows at random and tells where the model differs from doing it all anew.
async () => {
    const { Rows } = await import(new URL("dashboard/rows.js", document.baseURI));
    const wrong = [];
    let seed = 7;
    const random = (most) => (seed = (seed * 48271) % 2147483647) % most;
    const rows = new Rows();
    const pair = (row) => [JSON.stringify(row), row];
    const truth = new Map();
    rows.sort(1, true);
    rows.filter("1");
    for (let turn = 0; turn < 300; turn += 1) {
        const removed = [...truth.keys()].filter(() => random(10) === 0);
        const added = Array.from({ length: random(8) }, () => pair([`n${random(90)}`, random(50), null]))
            .filter(([key], n, all) => !truth.has(key) && all.findIndex((one) => one[0] === key) === n);
        rows.apply(removed, added, turn);
        for (const key of removed) truth.delete(key);
        for (const [key, row] of added) truth.set(key, row);
        const shown = rows.view.map((one) => one.row);
        const wanted = [...truth.values()].filter((row) => row.join(" ").includes("1")).sort((a, b) => b[1] - a[1]);
        const same = (list) => JSON.stringify(list.map((row) => JSON.stringify(row)).sort());
        if (same(shown) !== same(wanted)) wrong.push([turn, "rows"]);
        if (shown.some((row, n) => n && shown[n - 1][1] < row[1])) wrong.push([turn, "order"]);
    }
    return wrong;
}
