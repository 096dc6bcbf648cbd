// Light, dark, or as the system has it. Runs before the first paint, and so imports nothing.

const KEY = "robo-theme";
const CHOICES = ["auto", "light", "dark"];
const SIGNS = { auto: "◐", light: "☀", dark: "☾" };

function kept() {
  try {
    const choice = localStorage.getItem(KEY);
    return CHOICES.includes(choice) ? choice : "auto";
  } catch {
    return "auto"; // storage is refused: the choice then lasts as long as the page
  }
}

const dark = matchMedia("(prefers-color-scheme: dark)");
let choice = kept();

function apply() {
  const system = dark.matches ? "dark" : "light";
  document.documentElement.dataset.theme = choice === "auto" ? system : choice;
  dispatchEvent(new Event("themechange")); // canvases have to be drawn again
}

apply();
dark.addEventListener("change", apply);

/** Have a button go through the choices. @param {HTMLButtonElement} button */
export function bindTheme(button) {
  const label = () => {
    button.textContent = `${SIGNS[choice]} ${choice}`;
    button.setAttribute("aria-label", `Colours: ${choice}. Change`);
  };
  label();
  button.addEventListener("click", () => {
    choice = CHOICES[(CHOICES.indexOf(choice) + 1) % CHOICES.length];
    try {
      localStorage.setItem(KEY, choice);
    } catch {
      // as above
    }
    apply();
    label();
  });
}
