// Excerpts of search results are read from the pages, which browsers allow from a server only, not from files.
DOCUMENTATION_OPTIONS.SHOW_SEARCH_SUMMARY = location.protocol.startsWith("http");

// Blocks of code get a button that copies them; what programs print (highlight-none) gets none.
document.addEventListener("DOMContentLoaded", () => {
  for (const block of document.querySelectorAll("[class*='highlight-']:not(.highlight-none) > .highlight")) {
    const button = document.createElement("button");
    button.type = "button";
    button.className = "copy";
    button.textContent = "Copy";
    button.addEventListener("click", () => copy(block.querySelector("pre"), button));
    block.append(button);
  }
});

// Names that are longer than a line of a phone break behind a dot or an underscore.
document.addEventListener("DOMContentLoaded", () => {
  for (const code of document.querySelectorAll("article :not(pre) > code > .pre")) {
    if (code.textContent.length > 36 && !code.childElementCount) {
      const parts = code.textContent.split(/(?<=[._])(?![._])/);
      code.replaceChildren(...parts.flatMap((part) => [part, document.createElement("wbr")]));
    }
  }
});

// The clipboard's own interface needs https or this machine; a selection works everywhere.
function copy(code, button) {
  const selection = getSelection();
  selection.selectAllChildren(code);
  button.textContent = document.execCommand("copy") ? "Copied" : "Press Ctrl+C";
  if (button.textContent === "Copied") selection.removeAllRanges();
  setTimeout(() => { button.textContent = "Copy"; }, 2000);
}
