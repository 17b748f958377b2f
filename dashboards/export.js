"use strict";
// Export this: a download, a folder of the server's, or the command line that does the same.
const EXPORT_NAME = /^[A-Za-z0-9](?:[A-Za-z0-9._-]{0,78}[A-Za-z0-9_-])?$/;
const EXPORT_RULE = "1 to 80 letters, digits, dots, hyphens and underscores; a letter or digit first, no dot last.";

function exportPanel(card, found) {
  const box = panel("Export this", "wide export"),
    hasFiles = Boolean(found.member.path);
  const command =
    (card.commands && card.commands.export) ||
    `autocomp export ${quoted(found.run.path || found.run.name)} --pick ${card.id} --out ${exportName(found)}`;
  if (isLive && hasFiles) box.append(...exportForms(card, found));
  else if (isLive) box.append(missing("There are no files yet: they are written when the study ends."));
  const same = el("div", { class: "same" });
  box.append(same);
  tellCommand(same, command);
  return box;
}
function tellCommand(same, command) {
  clear(same);
  const said = isLive ? "The same on the command line:" : "On the machine that has the run:";
  same.append(el("p", { class: "hint" }, said), commandLine(command));
}
const exportName = (found) =>
  `${found.run.name.split("/").pop()}-${found.member.id}`
    .replace(/[^A-Za-z0-9._-]/g, "-")
    .replace(/^[^A-Za-z0-9]+/, "")
    .slice(0, 78) || found.member.id;

function exportForms(card, found) {
  const name = exportName(found),
    link = el(
      "a",
      {
        class: "button primary",
        id: "export-download",
        download: `${name}.zip`,
        href: downloadUrl(`${itemPath(found.run, card.id)}/artifact.zip`),
      },
      "Download",
      known(found.member.bytes) ? ` (zip, ${size(found.member.bytes)})` : " (zip)",
    );
  const download = el("p", { class: "buttons" }, link);
  if (!page.live.exports)
    return [download, missing("Writing to a folder is off: `autocomp dashboard RUN --exports FOLDER` allows it.")];
  const input = el("input", {
    id: "export-name",
    type: "text",
    maxlength: "80",
    spellcheck: "false",
    autocomplete: "off",
    "aria-describedby": "export-rule",
  });
  input.value = name;
  const button = el("button", { type: "button", id: "export-write" }, "Write to the folder"),
    told = el("div", { id: "export-told", role: "status" });
  const write = () => writeExport(card, found, input, button, told);
  button.addEventListener("click", write);
  input.addEventListener("keydown", (event) => event.key === "Enter" && (event.preventDefault(), write()));
  const field = el(
    "p",
    { class: "field line" },
    el("label", { for: "export-name" }, "or write it to ", el("code", {}, `${page.live.exports.replace(/\/$/, "")}/`)),
    input,
    button,
  );
  return [download, field, el("p", { class: "hint", id: "export-rule" }, EXPORT_RULE), told];
}
async function writeExport(card, found, input, button, told) {
  clear(told);
  const isNamed = EXPORT_NAME.test(input.value);
  input.setAttribute("aria-invalid", String(!isNamed));
  if (!isNamed) {
    told.append(el("p", { class: "problem" }, `"${input.value}" will not do as a name. It takes ${EXPORT_RULE}`));
    input.focus();
    return;
  }
  button.disabled = true;
  try {
    const done = await post(`${itemPath(found.run, card.id)}/export`, { name: input.value });
    told.append(...exportedWords(done));
    if (done.command) tellCommand(told.parentNode.querySelector(".same"), done.command);
  } catch (error) {
    told.append(el("p", { class: "problem" }, error.message));
  } finally {
    button.disabled = false;
  }
}
function exportedWords(done) {
  const sums = Object.entries(done.sha256 || {}).map(([file, hex]) => [file, el("code", { class: "sum" }, hex)]);
  return [
    el(
      "p",
      { class: "done" },
      "✓ Written to ",
      el("code", { id: "export-path" }, done.path),
      known(done.bytes) ? `, ${size(done.bytes)}.` : ".",
    ),
    plainTable("Checksums (SHA-256)", ["file", "sum"], sums),
  ];
}
