// The paths of what is shown, one in a line, to paste or to save as `belong score --write-list` does.

const done = document.getElementById("done");

const pathsShown = () => onTiles.map((at) => `${inOneLine(IMAGES.path[at])}\n`).join("");

async function copyText(text, said) {
  try {
    await navigator.clipboard.writeText(text);
    done.textContent = said;
  } catch {
    done.textContent = "The browser does not allow copying.";
  }
}

function saveFile(content, name, type, said) {
  const href = URL.createObjectURL(new Blob([content], { type }));
  node("a", { href, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(href), 60_000); // not before the browser has read it
  done.textContent = said;
}

// The bytes of the paths as the disk has them: where one differs from what is shown, the data has it
// with % and two digits for what is no plain text.
function exactPaths() {
  const encoder = new TextEncoder();
  const bytes = onTiles.flatMap((at) => {
    const path = IMAGES.file?.[at];
    const parts = path ? path.split(/%([0-9A-F]{2})/) : [IMAGES.path[at]];
    return [
      ...parts.map((part, place) => (place % 2 ? new Uint8Array([parseInt(part, 16)]) : encoder.encode(part))),
      encoder.encode("\n"),
    ];
  });
  return new Blob(bytes);
}

const counted = () => `${whole(onTiles.length)} paths`;

document.getElementById("copy").addEventListener("click", () =>
  copyText(pathsShown(), `${counted()} copied`),
);
document.getElementById("download").addEventListener("click", () =>
  saveFile(exactPaths(), "paths.txt", "text/plain", `${counted()} saved`),
);
