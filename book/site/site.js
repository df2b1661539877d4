// Two of the theme's buttons are named otherwise than what stands on them, so somebody who speaks to the page
// cannot press them. The search button is called by its text; the one for the colours keeps its own name alone.
document.addEventListener("DOMContentLoaded", () => {
  for (const button of document.querySelectorAll(".search-button-field")) button.removeAttribute("aria-label");
  for (const icon of document.querySelectorAll(".theme-switch")) icon.removeAttribute("title");
});
