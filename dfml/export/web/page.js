// The page: boxes of classes, boxes of queries, and the answers, which follow each change.
import { openCamera } from "./camera.js";
import { classify, loadNetwork } from "./network.js";
import { pictureOf, readPicture } from "./pictures.js";

const MOST_CLASSES = 20;
const MOST_SUPPORT = 20;
const MOST_QUERIES = 200;
const SHOWN = 4;
const one = (id) => document.getElementById(id);
const counted = (count, thing, several = `${thing}s`) => `${count} ${count === 1 ? thing : several}`;
const classes = [];
const queries = { pictures: [] };
let network = null;
let asked = 0;
let working = Promise.resolve();

function element(tag, { text, ...attributes } = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  if (text !== undefined) made.textContent = text;
  made.append(...children);
  return made;
}

const say = (text) => { one("status").textContent = text; };
const nameOf = (group) => group.input.value.trim() || group.input.placeholder;

// Pictures of a group from files, one after the other, so that they keep their order.
async function addFiles(group, most, files) {
  const problems = [];
  for (const file of files) {
    if (group.pictures.length >= most) {
      problems.push(`${file.name}: ${most} pictures are the most here`);
      break;
    }
    try {
      group.pictures.push({ ...(await readPicture(file, network)), title: file.name });
    } catch (error) {
      problems.push(`${file.name}: ${error.message}`);
    }
  }
  group.draw();
  await refresh();
  if (problems.length) one("problems").textContent = problems.slice(0, 3).join(". ") + ".";
}

// Buttons, the hidden file input and dropping, for a box of pictures.
function takesPictures(box, group, most, title) {
  const input = element("input", { type: "file", accept: "image/*", multiple: "", hidden: "" });
  const choose = element("button", { type: "button", text: "Add pictures" });
  const camera = element("button", { type: "button", class: "quiet", text: "Camera" });
  choose.addEventListener("click", () => input.click());
  camera.addEventListener("click", () => {
    openCamera(title(), (canvas) => {
      if (group.pictures.length >= most) return;
      group.pictures.push({ ...pictureOf(canvas, network), title: "from the camera" });
      group.draw();
      refresh();
    });
  });
  input.addEventListener("change", async () => {
    const files = [...input.files];
    input.value = "";
    await addFiles(group, most, files);
  });
  box.addEventListener("dragover", (event) => {
    event.preventDefault();
    box.classList.add("over");
  });
  box.addEventListener("dragleave", () => box.classList.remove("over"));
  box.addEventListener("drop", (event) => {
    event.preventDefault();
    box.classList.remove("over");
    if (network) addFiles(group, most, event.dataTransfer.files);
  });
  return element("div", { class: "buttons" }, choose, camera, input);
}

function thumb(group, place, of) {
  const picture = group.pictures[place];
  picture.view.setAttribute("role", "img");
  picture.view.setAttribute("aria-label", `Picture ${place + 1} of ${of}: ${picture.title}`);
  const gone = element("button", { type: "button", class: "gone", text: "×", "aria-label": `Remove picture ${place + 1} of ${of}` });
  gone.addEventListener("click", () => {
    group.pictures.splice(place, 1);
    group.draw();
    (group.list.querySelectorAll(".gone")[Math.min(place, group.pictures.length - 1)] ?? group.add).focus();
    refresh();
  });
  return [picture.view, gone];
}

function addClass(name = "") {
  const number = classes.length + 1;
  const input = element("input", { type: "text", maxlength: "60", placeholder: `Class ${number}`, "aria-label": `Name of class ${number}`, autocomplete: "off", spellcheck: "false" });
  input.value = name;
  const list = element("ul", { class: "thumbs" });
  const away = element("button", { type: "button", class: "quiet away", text: "Remove" });
  const box = element("section", { class: "box" });
  const group = { input, list, box, pictures: [] };
  const buttons = takesPictures(box, group, MOST_SUPPORT, () => nameOf(group));
  group.add = buttons.firstChild;
  group.draw = () => {
    list.replaceChildren(...group.pictures.map((_, place) => element("li", {}, ...thumb(group, place, nameOf(group)))));
    away.setAttribute("aria-label", `Remove class ${nameOf(group)}`);
    box.setAttribute("aria-label", `Class ${nameOf(group)}, ${counted(group.pictures.length, "picture")}`);
  };
  input.addEventListener("input", () => {
    group.draw();
    refresh();
  });
  away.addEventListener("click", () => {
    classes.splice(classes.indexOf(group), 1);
    box.remove();
    one("add_class").disabled = false;
    one("add_class").focus();
    refresh();
  });
  buttons.append(away);
  box.append(input, list, buttons);
  one("classes").append(box);
  classes.push(group);
  one("add_class").disabled = classes.length >= MOST_CLASSES;
  group.draw();
  return group;
}

// The likeliest classes of a query as bars, the likeliest first.
function answered(names, chances) {
  const order = chances.map((_, place) => place).sort((a, b) => chances[b] - chances[a]);
  const rows = order.slice(0, SHOWN).map((place, rank) => {
    const fill = element("span", { class: "fill" });
    fill.style.width = `${100 * chances[place]}%`;
    const words = `${Math.round(100 * chances[place])}%`;
    const row = element("li", rank ? {} : { class: "best" });
    row.append(element("b", { text: names[place] }), element("span", { class: "track", "aria-hidden": "true" }, fill), element("i", { text: words }));
    return row;
  });
  return element("ol", { class: "bars" }, ...rows);
}

queries.list = one("queries");
queries.draw = () => {
  queries.list.replaceChildren(...queries.pictures.map((picture, place) => {
    const item = element("li", { class: "query" }, ...thumb(queries, place, "the queries"));
    if (picture.answer) item.append(answered(picture.answer.names, picture.answer.chances));
    return item;
  }));
};

// Adapts to the classes as they are now and answers all queries; an older call's answers are dropped.
async function refresh() {
  asked += 1;
  const own = asked;
  const ready = classes.filter((group) => group.pictures.length);
  const names = ready.map(nameOf);
  one("problems").textContent = "";
  for (const picture of queries.pictures) picture.answer = null;
  if (ready.length < 2 || !queries.pictures.length) {
    queries.draw();
    say(ready.length < 2 ? "Give at least two classes a picture each." : "Now add a picture to classify.");
    return;
  }
  say("Looking …");
  const pictures = [...queries.pictures];
  const support = ready.map((group) => [...group.pictures]);
  // One after the other: the graph answers one call at a time.
  working = working.then(() => (own === asked ? classify(network, support, pictures) : null));
  const found = await working;
  if (own !== asked) return;
  pictures.forEach((picture, place) => { picture.answer = { names, chances: found[place] }; });
  queries.draw();
  const shots = ready.reduce((sum, group) => sum + group.pictures.length, 0);
  say(`${counted(ready.length, "class", "classes")}, learned from ${counted(shots, "picture")}; ${counted(pictures.length, "answer")}.`);
}

async function start() {
  one("notice").hidden = true;
  say("Loading the model …");
  try {
    network = await loadNetwork();
  } catch (error) {
    one("problems").textContent = `The model could not be loaded: ${error.message}`;
    say("");
    return;
  }
  one("about").textContent = network.about;
  for (const { name } of network.classes) addClass(name);
  while (classes.length < 2) addClass();
  one("asked").append(takesPictures(one("asked"), queries, MOST_QUERIES, () => "Pictures to classify"));
  queries.add = one("asked").querySelector("button");
  one("add_class").addEventListener("click", () => addClass().input.focus());
  one("work").hidden = false;
  const read = async (file) => ({ ...(await readPicture(await (await fetch(file)).blob(), network)), title: file });
  await Promise.all(network.classes.map(async ({ files }, place) => {
    classes[place].pictures.push(...(await Promise.all(files.map(read))));
    classes[place].draw();
  }));
  await refresh();
  document.documentElement.dataset.ready = String(Math.round(performance.now()));
}

// What is dropped beside a box would replace the page.
for (const kind of ["dragover", "drop"]) document.addEventListener(kind, (event) => event.preventDefault());
start();
