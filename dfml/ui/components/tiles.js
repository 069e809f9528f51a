// Pictures cut from one sheet by style alone: crisp at any zoom, and each is shown by moving the sheet.
const sheetOn = (node, sheet) => {
  const { url, columns, rows, crisp } = sheet;
  // Once for all tiles: the address holds the whole sheet.
  if (node.sheetUrl !== url) { node.sheetUrl = url; node.style.setProperty('--sheet', url ? `url(${url})` : 'none'); }
  node.style.setProperty('--whole', `${columns * 100}% ${rows * 100}%`);
  node.classList.toggle('crisp', crisp);
};
const placeTile = (tile, sheet, place) => {
  const { columns, rows } = sheet, column = place % columns, row = Math.floor(place / columns);
  tile.style.backgroundPosition = `${columns > 1 ? 100 * column / (columns - 1) : 0}% ${rows > 1 ? 100 * row / (rows - 1) : 0}%`;
};
