/** What a clinic is asked, and what it answers. */
export const PAIRS: [string, string][] = [
  [
    "Can I move my appointment on Friday to next week?",
    "Of course. Tell me which days suit you, and I will look for a free time with the same doctor. You do not pay for a change made a day before.",
  ],
  [
    "Do you take my insurance?",
    "We work with all public insurers and most private ones. Send us the name on your card, and we answer within one working day.",
  ],
  [
    "My invoice shows two visits, but I was there once.",
    "I am sorry about that. Please send us the invoice number; we check it today and send you a corrected one if it is wrong.",
  ],
  ["Where can I park?", "There are six free places behind the house. The entrance is in Mill Lane."],
  [
    "I need a copy of my blood test.",
    "You find it in your patient page under Results. If you would rather have paper, the front desk prints it for you.",
  ],
];
