/** Opening one of these runs whatever program its maker put into it; the server opens none, and says so too. */
const PICKLES = /\.(bin|pt|pth|pkl|pickle|ckpt|joblib|dill|npy|npz)$/i;
const CONFIG = "adapter_config.json";
const WEIGHTS = "adapter_model.safetensors";
const MANIFEST = "manifest.json";
const READ = [CONFIG, WEIGHTS, MANIFEST];

export const ENDINGS = ".zip,.json,.safetensors";

/** Why these files cannot be a model, and what to do; null if they may be one. */
export function problemOf(files: File[]): string | null {
  const pickle = files.find((file) => PICKLES.test(file.name));
  if (pickle)
    return `“${pickle.name}” may be a pickle: opening one runs whatever program its maker put into it, so none is opened here. Where the model was made, save it again with safe_serialization=True, which writes ${WEIGHTS}, and leave the other files out.`;
  if (files.some(isArchive))
    return files.length > 1
      ? "Give one archive (.zip) and nothing beside it, or the files themselves without an archive."
      : null;
  const missing = [CONFIG, WEIGHTS].filter((name) => !files.some((file) => file.name === name));
  return missing.length === 0
    ? null
    : `Still missing: ${missing.join(" and ")}. Add it, or drop the whole folder as a .zip.`;
}

/** Of a folder that was dropped whole, the files that are read. */
export function wanted(files: File[]): File[] {
  return files.filter((file) => isArchive(file) || READ.includes(file.name) || PICKLES.test(file.name));
}

/** Whether they may hold the proof of their base model, which only the server can tell. */
export function mayProveBase(files: File[]): boolean {
  return files.some((file) => isArchive(file) || file.name === MANIFEST);
}

function isArchive(file: File): boolean {
  return /\.zip$/i.test(file.name);
}
