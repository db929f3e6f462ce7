// The paths of what is shown, one in a line, to paste or to save.

const done = document.getElementById("done");

const pathsShown = () => onTiles.map((at) => `${inOneLine(IMAGES.path[at])}\n`).join("");

async function copyPaths() {
  try {
    await navigator.clipboard.writeText(pathsShown());
    done.textContent = `${whole(onTiles.length)} paths copied`;
  } catch {
    done.textContent = "The browser does not allow copying here; save them instead.";
  }
}

function savePaths() {
  const href = URL.createObjectURL(new Blob([pathsShown()], { type: "text/plain" }));
  node("a", { href, download: "paths.txt" }).click();
  setTimeout(() => URL.revokeObjectURL(href), 60_000); // not before the browser has read it
  done.textContent = `${whole(onTiles.length)} paths saved`;
}

document.getElementById("copy").addEventListener("click", copyPaths);
document.getElementById("download").addEventListener("click", savePaths);
